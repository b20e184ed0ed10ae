# system ROOT: what this host is, a line `KEY VALUE` each. Changes nothing.
set -u
echo "cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 0)"
echo "memory_mb $(( $(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo 2>/dev/null || echo 0) / 1024 ))"
place=$1
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
echo "disk_mb $(df -Pm "$place" | sed -n '2p' | tr -s ' ' | cut -d' ' -f4)"
if [ -w "$place" ]; then echo "root_writable yes"; else echo "root_writable no"; fi
echo "os $( . /etc/os-release 2>/dev/null && printf '%s %s' "$ID" "${VERSION_ID:-}" || uname -s)"
echo "epoch $(date +%s)"
echo "uid $(id -u)"
echo "user $(id -un)"
for tool in java curl unzip python3 jar sha256sum nginx haproxy systemctl apt-get; do
  path=$(PATH="$PATH:/usr/sbin:/sbin" command -v "$tool" 2>/dev/null) && echo "tool.$tool $path"
done
java=$(java_version) && [ -n "$java" ] && echo "java $java"
echo "nofile $(ulimit -Hn)"
[ "$(cat /proc/1/comm 2>/dev/null)" = systemd ] && echo "init systemd"
for file in /proc/net/tcp /proc/net/tcp6; do
  [ -r "$file" ] && sed -n 's/^ *[0-9]*: [0-9A-F]*:\([0-9A-F]*\) [0-9A-F]*:[0-9A-F]* 0A .*/listens \1/p' "$file"
done | sort -u
exit 0
