# Exits 0 where HAProxy runs with a file $2 whose first line begins with $3. Changes nothing.
pid_file=$1 path=$2 marker=$3
case $(head -n 1 "$path" 2>/dev/null) in
"$marker" | "$marker;"*) ;;
*) say "$path is missing or not balbook's"; exit 1 ;;
esac
[ -n "$(master)" ] || { say "haproxy is not running"; exit 1; }
