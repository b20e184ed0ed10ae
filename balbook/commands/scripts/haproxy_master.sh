# What the scripts for HAProxy share. Needs $pid_file and $socket.

say() { printf '%s\n' "$*" >&2; }

# The PID of the running master, or nothing.
master() {
    [ -s "$pid_file" ] || return 0
    read -r pid <"$pid_file"
    case $pid in '' | *[!0-9]*) return 0 ;; esac
    [ "$(sed 's/^[^(]*(\(.*\)).*/\1/' "/proc/$pid/stat" 2>/dev/null)" = haproxy ] && printf '%s\n' "$pid"
    return 0
}

# One command of the runtime socket and its answer; perl is on every Debian, socat is not.
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

# How many requests the server $2 of the backend $1 has in hand.
in_hand() { ask 'show stat' | awk -F , -v px="$1" -v sv="$2" '$1 == px && $2 == sv { print $3 + $5 }'; }

# Milliseconds on a clock that nobody sets.
now_ms() { read -r up _ </proc/uptime; printf '%s0\n' "$up" | tr -d .; }
