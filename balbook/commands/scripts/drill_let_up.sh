# drill_let_up INSTANCE UNIT UNITS: takes back what drill_keep_down did.
rm -f "$3/$2.d/balbook-drill.conf"
rmdir "$3/$2.d" 2>/dev/null || true
systemctl daemon-reload
