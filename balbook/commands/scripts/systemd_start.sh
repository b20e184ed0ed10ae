# systemd_start INSTANCE UNIT: starts the unit, and has it started at every boot; nothing where it runs already.
set -eu
systemctl enable --quiet "$2"
systemctl reset-failed "$2" 2>/dev/null || true
systemctl start "$2"
echo "started $(basename "$(readlink "$1/current")")"
