# blackhole on|off|check PORT: packets to PORT are dropped without an answer, as when a host or its network is gone.
set -u
action=$1 port=$2
PATH=$PATH:/usr/sbin:/sbin
rule() { iptables -w "$@" -p tcp --dport "$port" -m comment --comment balbook-drill -j DROP; }
table="inet balbook_drill_$port"
# A host without iptables has nft: a table of the drill's own, before all others.
if ! command -v iptables > /dev/null 2>&1; then
  case $action in
  check) exec nft list ruleset > /dev/null ;;
  on) rules="table $table { chain input { type filter hook input priority -300; tcp dport $port drop; }; }" ;;
  off) rules= ;;
  esac
  printf 'add table %s\ndelete table %s\n%s\n' "$table" "$table" "$rules" | nft -f -
  exit
fi
case $action in
check) iptables -w -S INPUT > /dev/null ;;
on) rule -C INPUT 2> /dev/null || rule -I INPUT ;;
off) while rule -C INPUT 2> /dev/null; do rule -D INPUT || exit 1; done ;;
esac
