import ballerina/http;
import ballerina/io;
import ballerina/uuid;

# What a guest asks for.
public type NewBooking record {|
    # The room's number
    string room;
    # Who will sleep in it
    string guest;
    # For how long
    int nights;
|};

# A booking that the hotel has accepted.
public type Booking record {|
    *NewBooking;
    # The booking's own id
    string id;
    # `CONFIRMED`
    string status;
|};

# The answer to an accepted booking.
public type BookingCreated record {|
    *http:Created;
    # The booking
    Booking body;
|};

listener http:Listener httpDefaultListener = http:getDefaultListener();

service /bookings on httpDefaultListener {

    # Accepts a booking, and prints that it was executed with the request's id.
    #
    # + booking - What the guest asks for
    # + requestId - Id of the request
    # + return - The booking
    resource function post .(NewBooking booking, @http:Header {name: "X-Request-Id"} string? requestId)
            returns BookingCreated {
        io:println(string `executed POST /bookings id=${requestId ?: ""}`);
        return {body: confirmed(booking)};
    }
}

function confirmed(NewBooking booking) returns Booking {
    return {id: uuid:createType4AsString(), status: "CONFIRMED", ...booking};
}
