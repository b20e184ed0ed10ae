# firewall check|open PORT…: connections to these TCP ports are accepted where nftables is active and drops what no rule accepts.
# One rule a port in each chain that drops, and again whenever nftables is started or reloaded; every other rule stays.
# `check` exits 1 where something is to do; it changes nothing. Without an active nftables there is nothing to do.
set -eu
PATH="$PATH:/usr/sbin:/sbin"
action=$1
shift
rules=/etc/balbook-firewall.nft
drop_in=/etc/systemd/system/nftables.service.d/balbook.conf
systemctl --quiet is-active nftables 2>/dev/null || exit 0
# A rule that drops or rejects whatever comes to it: nothing in it asks what that is.
for_all='^[[:space:]]*((counter( packets [0-9]+ bytes [0-9]+)?|log( (prefix "[^"]*"|(level|group|flags) [a-z0-9, ]+))*) )*'
for_all="$for_all(drop|reject( with [a-z0-9 -]+)?)( comment \".*\")?\$"
# FAMILY TABLE CHAIN of every chain for what comes in that drops what no rule accepts: by its policy, or by such a rule.
dropping() {
  nft list chains | while read -r word first second rest; do
    case "$word $first $second $rest" in
    table\ *) table="$first $second" ;;
    chain\ *) chain=$first ;;
    *'hook input'*'policy drop'*) echo "$table $chain" ;;
    *'hook input'*)
      # shellcheck disable=SC2086
      if nft list chain $table $chain </dev/null | grep -qE "$for_all"; then echo "$table $chain"; fi
      ;;
    esac
  done
}
wanted() {
  dropping | while read -r family table chain; do
    for port in "$@"; do echo "insert rule $family $table $chain tcp dport $port accept comment \"balbook\""; done
  done
}
missing() {
  wanted "$@" | while read -r line; do
    place=$(echo "$line" | cut -d' ' -f3-5)
    rule=$(echo "$line" | cut -d' ' -f6-)
    # shellcheck disable=SC2086
    nft list chain $place | grep -qF "$rule" || echo "$line"
  done
}
all=$(wanted "$@")
[ -n "$all" ] || exit 0
missing=$(missing "$@")
hook=$(printf '[Service]\nExecStartPost=nft -f %s\nExecReload=nft -f %s' "$rules" "$rules")
if [ -z "$missing" ] && [ "$(cat "$rules" 2>/dev/null)" = "$all" ] && [ "$(cat "$drop_in" 2>/dev/null)" = "$hook" ]; then exit 0; fi
[ "$action" = open ] || { echo "closed: $missing"; exit 1; }
[ -z "$missing" ] || echo "$missing" | nft -f -
echo "$all" > "$rules.new"
mv -f "$rules.new" "$rules"
mkdir -p "$(dirname "$drop_in")"
echo "$hook" > "$drop_in"
systemctl daemon-reload
