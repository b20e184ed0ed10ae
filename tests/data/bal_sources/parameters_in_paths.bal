// routes: GET /shop/items/[], DELETE /shop/items/[]/parts/[], GET /shop/files/[...], POST /shop
// tests:
import ballerina/http;

service http:Service /shop on new http:Listener(port = 9090, timeout = 5) {

    resource isolated function
        get items / [
            string id // by its id
        ]
        (
            @http:Header string? x\-trace,
            http:Caller caller,
            map<json> filter = {kind: "("}
        )
            returns record {| string id; |}|http:NotFound|error {
        return {id};
    }

    resource function delete items/[string id]/parts/[int]() {
    }

    resource function get files/[string... rest]() {
    }

    resource function post .() {
    }

    remote function onMessage() {
    }

    function get(string path) {
    }
}
