# SPDX-License-Identifier: Apache-2.0
# docker build -t bittern .
#
# Watches the host with the capabilities named here and no other (never --privileged):
#
#   docker run -d --name bittern --restart unless-stopped \
#       --pid host --network host \
#       --cap-drop ALL --cap-add BPF --cap-add PERFMON \
#       --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH \
#       --ulimit nice=30 --cpu-shares 10240 \
#       --security-opt no-new-privileges --security-opt apparmor=unconfined \
#       --read-only bittern
#
# BPF and PERFMON load and attach the programs; SYS_PTRACE and DAC_READ_SEARCH read /proc/PID of
# other users' processes and, through it, the package.json that names a service. /sys, which
# every container has read-only, holds the kernel's BTF. The host's process namespace shows its
# processes and, through init's root, what the engine knows of their containers, and the host's name
# and id. Inside, it runs as uid 0: Docker gives added capabilities to no other user.
#
# On a host short of CPU it has to read its ring in time, and takes little: the limit lets it run
# at nice -10 (20 - 30), the shares count where containers compete.
#
# Docker's default seccomp profile allows bpf() to who has CAP_BPF since version 23; with an
# older one, and with Podman 4, add --security-opt seccomp=unconfined. Docker's AppArmor profile
# lets no container look at processes outside, so it is switched off; on SELinux hosts add
# --security-opt label=disable.
#
# For Kubernetes there is deploy/kubernetes/bittern.yaml.
#
# /metrics is on the host's 127.0.0.1:2488; --listen, behind the image's name, says otherwise.
# A file for --config comes in by --volume /etc/bittern.yaml:/etc/bittern.yaml:ro.
# Whether it can run: the same line with --rm instead of -d, and check behind the image's name.

FROM debian:bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make \
    ca-certificates >/dev/null
WORKDIR /src
COPY . .
RUN make && strip --strip-debug build/bittern

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/build/bittern /usr/bin/bittern
COPY LICENSE /usr/share/doc/bittern/LICENSE
COPY LICENSES /usr/share/doc/bittern/LICENSES
EXPOSE 2488
ENTRYPOINT ["/usr/bin/bittern"]
