// routes: GET /notes
// tests:
import ballerina/http;

# A note. This line has a bracket { and a quote " that nobody closes, and so has the next one.
# + text - it's (odd
type Note record {|
    string text; // } ) ] "
|};

const string OPENED = "{[(` // no comment \" \\";

service / on new http:Listener(9090) {
    resource function get notes() returns Note[] => [{text: "}"}];
}
