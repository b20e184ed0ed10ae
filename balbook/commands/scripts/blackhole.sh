# blackhole on|off|check PORT: packets to PORT are dropped without an answer, as when a host or its network is gone.
set -u
action=$1 port=$2
PATH=$PATH:/usr/sbin:/sbin
rule() { iptables -w "$@" -p tcp --dport "$port" -m comment --comment balbook-drill -j DROP; }
case $action in
check) iptables -w -S INPUT > /dev/null ;;
on) rule -C INPUT 2> /dev/null || rule -I INPUT ;;
off) while rule -C INPUT 2> /dev/null; do rule -D INPUT || exit 1; done ;;
esac
