# certificate_end FILE: `ends` and when the certificate in it ends, as openssl says it; else `problem` and why not. Changes nothing.
if ! command -v openssl >/dev/null 2>&1; then
  echo "problem openssl is not there"
elif text=$(openssl x509 -enddate -noout -in "$1" 2>&1); then
  echo "ends ${text#notAfter=}"
elif [ -r "$1" ]; then
  echo "problem it is no certificate in PEM"
else
  echo "problem it is not there, or may not be read"
fi
