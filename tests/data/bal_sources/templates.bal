// routes: GET /
// tests:
import ballerina/http;

string plain = string `a { " // $ # ${"b" + string `c ${1 + 2} }`} $${3}`;
xml tree = xml `<a href="x">${string `${"}"}`}<!-- ' " ( --></a>`;
string:RegExp amount = re `\$\{[0-9"(\[]+\}|[^{}]`;
string:RegExp kind = re `(${"a|b"}){1,3}\\`;
byte[] key = base64 `aGVsbG8=`;

service on http:getDefaultListener() {
    resource function get .() returns string {
        return string `{ ${plain} ( ${amount.toString() + "}"}`;
    }
}
