// routes:
// tests:
import ballerina/http;

public type Door service object {
    *http:Service;
    resource function get door() returns string;
};

service class Hall {
    *http:Service;
    resource function get hall() returns string => "hall";
}

client isolated class Api {
    resource function get rooms/[string id](map<string> headers = {}) returns json|error => {};
}

http:Service made = service object {
    resource function get made() {
    }
};

map<int> 'service = {on: 1};

public function main() returns error? {
    http:Client api = check new ("http://localhost:9090/service");
    json found = check api->/rooms/["1"]/["a/b"].get(kind = "open");
    _ = from var {a, b} in [{a: 1, b: 2}]
        where a < b && b > 1 || found is ()
        select {a, "b": b};
}
