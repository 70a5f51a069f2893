#!/bin/bash
# Copies programs of this machine into the root directory of an image, each with the libraries it needs.
#
#   collect-programs.sh DIR [FILE[:PLACE] | --iptables-plugins | --busybox-links]...
set -euo pipefail
root=$1
shift
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,usr/local/bin,lib,lib64,tmp,etc,proc,sys,dev,run,var}
chmod 1777 "$root/tmp"

# Copies what a link leads to, under the name of the link.
put() {
  mkdir -p "$root$(dirname "$2")"
  [ -e "$root$2" ] || cp -L "$1" "$root$2"
}

put_libraries() {
  local library
  # One that is linked statically has none.
  { ldd "$1" 2>/dev/null || true; } | { grep -o '/[^ :]*' || true; } | while read -r library; do put "$library" "$library"; done
}

for item; do
  case $item in
    --iptables-plugins)
      dir=$(dirname "$(find /usr/lib -iname libxt_mark.so | head -1)")
      for plugin in "$dir"/*.so; do
        put "$plugin" "$plugin"
        put_libraries "$plugin"
      done
      ;;
    --busybox-links)
      for name in $("$root/bin/busybox" --list); do
        for dir in bin sbin usr/bin usr/sbin usr/local/bin; do [ ! -e "$root/$dir/$name" ] || continue 2; done
        ln -s busybox "$root/bin/$name"
      done
      ;;
    *)
      put "${item%%:*}" "${item#*:}"
      put_libraries "${item%%:*}"
      ;;
  esac
done
