#!/bin/sh
# The CNI plugin of Plumbline: chained last, it lets a pod of an enrolled namespace start only when the
# node agent has proven its capture. The one program of the mesh that is no TypeScript: it runs on the
# host, in milliseconds, with nothing but a POSIX shell.
#
# A pod of a namespace that has no file in namespaces/ passes at once, whatever state the agent is in.
# For the others a request is written and its answer waited for; both are files, so that nothing but built-ins
# is needed but `sleep`. The agent removes them; a request that nobody waits for any more is emptied,
# one that passed all the same (`open`) is kept for the agent to know.

state=/var/lib/plumbline/cni
run=/run/plumbline/cni
tries=110 # 20 of 20 ms and 90 of 100 ms: somewhat less than 10 s
umask 077

fail() { # CODE TEXT: the text becomes the Event of the pod
  printf '{"cniVersion":"%s","code":%d,"msg":"%s"}\n' "$version" "$1" "$2"
  exit 1
}
pass() {
  printf '%s\n' "$result"
  exit 0
}

version=1.0.0
case ${CNI_COMMAND-} in
VERSION)
  printf '{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n'
  exit 0
  ;;
DEL | CHECK | GC | STATUS) exit 0 ;;
ADD) ;;
*) fail 4 "plumbline: expected CNI_COMMAND to be ADD, DEL, CHECK, GC, STATUS or VERSION" ;;
esac

config=
while IFS= read -r line || [ -n "$line" ]; do config=$config$line; done
case $config in *'"cniVersion":"'*) version=${config#*'"cniVersion":"'} version=${version%%'"'*} ;; esac
result=${config#*'"prevResult":'}
[ "$result" != "$config" ] || fail 7 "plumbline: expected a prevResult: this plugin must come after others in its chain"
rest=$result result=${result%',"type":'*}
case $rest in "$result",*) ;; *) result= ;; esac
case $result in '{'*'}') ;; *) fail 7 "plumbline: expected prevResult to be followed by the type of the plugin" ;; esac

args=";${CNI_ARGS-};"
namespace=${args#*;K8S_POD_NAMESPACE=} namespace=${namespace%%;*}
name=${args#*;K8S_POD_NAME=} name=${name%%;*}
uid=${args#*;K8S_POD_UID=} uid=${uid%%;*}

case $namespace in '' | *[!a-z0-9-]*) pass ;; esac
[ -r "$state/namespaces/$namespace" ] || pass
failure=hold
read -r failure <"$state/namespaces/$namespace"

case ${CNI_CONTAINERID-} in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9_.-]*) fail 4 "plumbline: expected CNI_CONTAINERID to be an id" ;; esac
case "$name $uid ${CNI_NETNS-}" in *[!A-Za-z0-9_./\ -]*) fail 4 "plumbline: expected pod and namespace to be named in letters and digits" ;; esac
request=$run/requests/$CNI_CONTAINERID answer=$run/answers/$CNI_CONTAINERID
[ -d "$run/requests" ] || mkdir -p -m 0700 "$run/requests" "$run/answers"
printf '%s\n' "namespace $namespace" "name $name" "uid $uid" "netns ${CNI_NETNS-}" end >"$request"

text="the node agent did not answer within 10 s; is it running on this node?"
while [ $tries -gt 0 ]; do
  if [ -r "$answer" ]; then
    read -r word text <"$answer"
    [ "$word" != ok ] || pass
    break
  fi
  tries=$((tries - 1))
  if [ $tries -ge 90 ]; then pause=0.02; else pause=0.1; fi
  # A host whose sleep knows whole seconds only waits as long, in longer steps.
  sleep $pause 2>/dev/null || { sleep 1 && tries=$((tries - 11)); }
done
if [ "$failure" = open ]; then
  printf 'passed\n' >>"$request"
  pass
fi
printf '' >"$request"
fail 11 "plumbline: pod $namespace/$name is held back: its namespace is enrolled in the mesh, and capture is not proven: $text"
