# Functions for the scripts for HAProxy. Needs what `balancer_shared` needs, and $socket.
program=haproxy

# One command of the runtime socket and its answer; every Debian has perl, not every one has socat.
ask() {
    if command -v socat >/dev/null 2>&1; then
        printf '%s\n' "$1" | socat -t 5 - "UNIX-CONNECT:$socket"
    else
        perl -MIO::Socket::UNIX -e '
            my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!\n";
            $s->print("$ARGV[1]\n"); $s->shutdown(1); print while <$s>;' "$socket" "$1"
    fi
}

# The administrative state of the server $2 of the backend $1, a number: 1 maintenance, 8 drain, added up.
admin_state() { ask "show servers state $1" | awk -v name="$2" '$4 == name { print $7 }'; }

# The same as a word: `ready` or `drain`.
runtime_state() {
    state=$(admin_state "$1" "$2")
    case $state in
    '' | *[!0-9]*) echo unknown ;;
    *) if [ $((state & 9)) -eq 0 ]; then echo ready; else echo drain; fi ;;
    esac
}

# The columns $3 (a sum in awk's words) of the statistics of the server $2 of the backend $1.
statistic() { ask 'show stat' | awk -F , -v px="$1" -v sv="$2" '$1 == px && $2 == sv { print '"$3"' }'; }

# How many requests the server $2 of the backend $1 has in hand.
in_hand() { statistic "$1" "$2" '$3 + $5'; }
