// routes: GET /été/größe
// tests:
import ballerina/http;
import ballerina/lang.'int as integers;

type Items table<Item> key(id);

type Item record {
    readonly int id;
    int 'from?;
};

enum Colour {
    RED = "r",
    BLUE
}

final float f = 1.5e3f + .5;
final int h = 0x1F;
int|error n = 'integers:fromString("1");
function (int) returns int twice = i => i * 2;

service /été on new http:Listener(9090) {
    resource function get gr\u{F6}\u{DF}e() returns Item[] {
        Item[] all = [];
        foreach int i in 0 ..< 3 {
            all.push({id: i << 1});
        }
        worker other {
            7 -> function;
        }
        int got = <- other;
        all.push({id: got});
        return from Item item in all
            select item;
    }
}
