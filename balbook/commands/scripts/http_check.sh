# http_check PORT PATH EXPECT CONTAINS TIMEOUT-S: exit 0 where http://127.0.0.1:PORT/PATH answers so; else prints what it found.
port=$1 path=$2 expect=$3 contains=$4 timeout_s=$5
body=$(mktemp) || exit 1
trap 'rm -f "$body"' EXIT
status=$(curl --silent --noproxy '*' --max-time "$timeout_s" --output "$body" --write-out '%{http_code}' "http://127.0.0.1:$port$path") ||
    { echo "no answer (curl ends with $?)"; exit 1; }
[ "$status" = "$expect" ] || { echo "status $status, not $expect"; exit 1; }
[ -z "$contains" ] || grep -q -F -e "$contains" "$body" || { echo "status $status, but the answer does not contain the expected text"; exit 1; }
echo "status $status"
