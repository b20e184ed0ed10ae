# versions BAL: the programs of this host that a record names, a line `NAME VERSION` each. BAL: path of `bal`, empty for none.
set -u
PATH="$PATH:/usr/sbin:/sbin"
java=$(java_version)
[ -n "$java" ] && echo "java $java"
nginx -v 2>&1 | sed -n 's/^nginx version: */nginx /p'
haproxy -v 2>/dev/null | sed -n '1s/^HA-\{0,1\}Proxy version \([^ ]*\).*/haproxy \1/p'
if [ -n "$1" ] && [ -x "$1" ]; then
  timeout 20 "$1" version 2>/dev/null < /dev/null | sed -n 's/^\(Ballerina .*\)/bal \1/p; s/^\(.*lab stand-in.*\)/bal \1/p' | sort -u
fi
exit 0
