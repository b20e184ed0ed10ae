// routes: GET /secret/here
// tests:
import ballerina/http;

listener http:Listener api = new (9090, {
    host: "127.0.0.1",
    secureSocket: {key: {path: "a", password: "{"}}
});

@http:ServiceConfig {
    auth: [{jwtValidatorConfig: {issuer: "x"}, scopes: ["a"]}]
}
@display {label: "service / on nothing {"}
isolated service /secret on api {
    private final string name = "service /inner on api {}";

    function init() returns error? {
    }

    @http:ResourceConfig {
        consumes: ["text/plain"]
    }
    resource function get here() returns string => self.name;
}
