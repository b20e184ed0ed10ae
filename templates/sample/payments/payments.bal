import ballerina/http;

# The currency of all payments.
configurable string currency = "EUR";

# A payment for a booking.
public type Payment record {|
    # The booking's id
    string booking;
    # How much was paid
    decimal amount;
    # Currency of the amount
    string currency;
|};

listener http:Listener httpDefaultListener = http:getDefaultListener();

service /payments on httpDefaultListener {

    # Lists the payments.
    #
    # + return - All payments
    resource function get .() returns Payment[] {
        return [paymentOf("b-1"), paymentOf("b-2")];
    }

    # Finds the payment for a booking.
    #
    # + booking - The booking's id
    # + return - Its payment
    resource function get [string booking]() returns Payment {
        return paymentOf(booking);
    }
}

function paymentOf(string booking) returns Payment {
    return {booking, amount: 160.00, currency};
}
