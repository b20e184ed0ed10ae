// routes: GET /a:acme.odd.port|odd.port|port=8081, GET /a:8082, GET /b:8083, GET /c:, DEFAULT /graph:8082
// tests:
import ballerina/graphql;
import ballerina/http;
import ballerina/lang.runtime;
import ballerinax/kafka;

configurable int port = 8081;
const int OTHER = 8082;
listener http:Listener first = check new (port);
public listener http:Listener second = new http:Listener(OTHER, httpVersion = http:HTTP_1_1);
final int third = 8083;

service /a on first, second {
    resource function get .() {
    }
}

service /b on new http:Listener(third) {
    resource function get .() {
    }
}

service /c on new http:Listener(chosen()) {
    resource function get .() {
    }
}

service /graph on new graphql:Listener(second) {
    resource function get name() returns string => "Ada";
}

service kafka:Service on new kafka:Listener(kafka:DEFAULT_URL, {groupId: "g"}) {
    remote function onConsumerRecord(kafka:AnydataConsumerRecord[] records) {
    }
}

function chosen() returns int {
    runtime:sleep(1);
    return 8084;
}
