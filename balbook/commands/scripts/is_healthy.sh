# Exits 0 where http://127.0.0.1:$1$2 answers with the status $3 within $4 seconds.
port=$1 path=$2 expect=$3 timeout_s=$4
status=$(curl --silent --noproxy '*' --max-time "$timeout_s" --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port$path")
problem=$?
[ "$status" = "$expect" ] && exit 0
case $problem in
0) echo "port $port: $path answers $status, not $expect" ;;
7) echo "port $port: nothing listens" ;;
28) echo "port $port: $path does not answer within $timeout_s s" ;;
*) echo "port $port: $path gives no answer (curl ends with $problem)" ;;
esac
exit 1
