// routes: GET /order-desk/v1.0/open-orders, DEFAULT /order-desk/v1.0/resource, PUT /order-desk/v1.0/1st
// tests:
import ballerina/http as web;

service /order\-desk/v1\.0 on new web:Listener(9090) {
    resource function get open\-orders() returns string => "none";
    resource function 'default 'resource() {
    }
    isolated resource function put '1st() {
    }
}
