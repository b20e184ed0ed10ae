# Functions for the scripts for NGINX. Needs what `balancer_shared` needs, and $error_log.
program=nginx

# The PIDs of a process's children, one a line; from /proc, since some hosts have no procps.
children() {
    if [ -r "/proc/$1/task/$1/children" ]; then
        tr ' ' '\n' <"/proc/$1/task/$1/children" | sed '/^$/d'
    else
        for stat in /proc/[0-9]*/stat; do
            sed -n "s/^\([0-9]*\) (.*) [A-Za-z] $1 .*/\1/p" "$stat" 2>/dev/null
        done
    fi
}

# Those of the PIDs $2… that are still children of $1: a PID that another process got since does not count.
remaining() {
    parent=$1
    shift
    for child in $(children "$parent"); do
        case " $* " in *" $child "*) printf '%s\n' "$child" ;; esac
    done
}

# The workers of $1 that finish their requests. NGINX gives them that title only some time after a reload.
leaving() {
    for child in $(children "$1"); do
        case $(tr '\0' ' ' 2>/dev/null <"/proc/$child/cmdline") in *'is shutting down'*) printf '%s\n' "$child" ;; esac
    done
}

size_of_log() { if [ -r "$error_log" ]; then wc -c <"$error_log"; else echo 0; fi; }

# The lines that were logged since $log_size was taken; all lines where the log was rotated meanwhile.
logged_since() {
    [ "$(size_of_log)" -ge "$log_size" ] || log_size=0
    tail -c "+$((log_size + 1))" "$error_log" 2>/dev/null
}

log_problems() { logged_since | grep -e '\[emerg\]' -e '\[alert\]' -e '\[crit\]' | tail -n 5; }

# Reloads the master $1 and waits at most $2 seconds for a worker that is none of the PIDs $3…; fails where none appears.
# `nginx -t` does not see a port in use, and `nginx -s reload` exits 0 where the reload fails: new workers of the master are the
# proof. The old workers are known by their PIDs, since their titles change too late.
reload() {
    reloaded=$1
    reload_end_ms=$(($(now_ms) + $2 * 1000))
    shift 2
    kill -HUP "$reloaded" || return 1
    while [ "$(now_ms)" -lt "$reload_end_ms" ]; do
        for child in $(children "$reloaded"); do
            case " $* " in *" $child "*) ;; *) return 0 ;; esac
        done
        # NGINX tries bind() several times, and then logs "still could not bind()".
        logged_since | grep -q -e '\[emerg\].*still could not' -e '\[alert\]' && return 1
        sleep 0.05
    done
    return 1
}
