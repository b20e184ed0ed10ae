import ballerina/http;
import ballerina/test;

final http:Client hotel = check new ("http://localhost:9090");

@test:Config {}
function testAllPartsOfTheHotelAnswer() returns error? {
    foreach string path in ["/health", "/rooms", "/payments"] {
        http:Response response = check hotel->get(path);
        test:assertEquals(response.statusCode, http:STATUS_OK, path);
    }
}

@test:Config {}
function testARoomThatIsListedCanBeBooked() returns error? {
    map<json> wanted = {room: "101", guest: "Ada", nights: 2};
    http:Response response = check hotel->post("/bookings", wanted);
    test:assertEquals(response.statusCode, http:STATUS_CREATED);
}
