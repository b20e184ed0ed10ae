# drill_keep_down UNIT UNITS: systemd does not start the unit again when it dies, by a file below UNITS; at most until the next boot.
set -eu
umask 022
mkdir -p "$2/$1.d"
printf '[Service]\nRestart=no\n' > "$2/$1.d/balbook-drill.conf"
systemctl daemon-reload
