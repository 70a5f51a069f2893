# The image of all programs by ordinary means: docker build -t plumbline.dev/plumbline:0.1.0 .
# scripts/build-image.sh makes the one that is tested: the same programs at the same paths, smaller, and
# the same byte for byte whoever builds it. Keep the two alike; this one takes Debian's present versions.

FROM node:22-bookworm-slim AS modules
# Only npm is used of this stage's Node: ours is a package of the lock file, as on every machine.
WORKDIR /opt/plumbline
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && mv node_modules/node-linux-*/bin/node /node \
 && rm -rf node_modules/node-linux-*

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends iptables ipset iproute2 libatomic1 libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=modules /node /usr/local/bin/node
COPY --from=modules /opt/plumbline/node_modules /opt/plumbline/node_modules
COPY package.json LICENSE /opt/plumbline/
COPY common /opt/plumbline/common
COPY controller /opt/plumbline/controller
COPY node-agent /opt/plumbline/node-agent
COPY waypoint /opt/plumbline/waypoint
COPY cli /opt/plumbline/cli
COPY scripts/image/strip.ts scripts/image/stripped.ts /tmp/
RUN node /tmp/strip.ts /opt/plumbline && rm /tmp/strip.ts /tmp/stripped.ts
RUN printf '#!/bin/sh\nexec /usr/local/bin/node --disable-warning=ExperimentalWarning --import=/opt/plumbline/stripped.js /opt/plumbline/cli/main.ts "$@"\n' >/usr/local/bin/plumb \
 && chmod 755 /usr/local/bin/plumb
# Programs that need root are told so where they are started.
USER 65532:65532
CMD ["/usr/local/bin/plumb", "--help"]
