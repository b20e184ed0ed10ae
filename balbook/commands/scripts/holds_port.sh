# Exits 0 where the process that the file $1 names, or one of its children, listens on the port $2. Changes nothing.
pid_file=$1 port=$(printf '%04X' "$2")
read -r pid <"$pid_file" || exit 1
sockets=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    sed -n "s/^ *[0-9]*: [0-9A-F]*:$port [0-9A-F:]* 0A [^ ]* [^ ]* [^ ]* *[0-9]* *[0-9]* \([0-9]*\) .*/\1/p")
for process in $pid $(children "$pid"); do
    for socket in $sockets; do
        for file in "/proc/$process/fd"/*; do
            [ "$(readlink "$file")" = "socket:[$socket]" ] && exit 0
        done
    done
done
refuse 1 "process $pid does not listen on port $2"
