import ballerina/http;
import ballerina/test;

final http:Client hotel = check new ("http://localhost:9090");

@test:Config {}
function testABookingIsConfirmed() returns error? {
    NewBooking wanted = {room: "101", guest: "Ada", nights: 2};
    http:Response response = check hotel->/bookings.post(wanted, {"X-Request-Id": "r-1"});
    test:assertEquals(response.statusCode, http:STATUS_CREATED);
}

@test:Config {}
function testABookingKeepsWhatWasAskedFor() {
    Booking booking = confirmed({room: "102", guest: "Grace", nights: 1});
    test:assertEquals(booking.guest, "Grace");
    test:assertEquals(booking.status, "CONFIRMED");
}

@test:Config {}
function testEveryBookingHasAnIdOfItsOwn() {
    NewBooking wanted = {room: "101", guest: "Ada", nights: 2};
    test:assertNotEquals(confirmed(wanted).id, confirmed(wanted).id);
}
