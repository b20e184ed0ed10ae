# Exits 0 where HAProxy runs with a file $2 whose first line begins with $3. Changes nothing.
pid_file=$1 path=$2 marker=$3
is_ours "$path" "$marker" || refuse 1 "$path is missing or not balbook's"
[ -n "$(master)" ] || refuse 1 "haproxy is not running"
