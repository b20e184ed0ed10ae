import ballerina/http;
import ballerina/test;

final http:Client hotel = check new ("http://localhost:9090");

@test:Config {}
function testPaymentsAreListed() returns error? {
    Payment[] found = check hotel->/payments;
    test:assertEquals(found.length(), 2);
}

@test:Config {}
function testAPaymentNamesItsBooking() returns error? {
    Payment found = check hotel->/payments/["b-7"];
    test:assertEquals(found.booking, "b-7");
    test:assertEquals(found.amount, 160.00d);
}
