// routes:
// tests: testPlain, testWith, quoted-name, testFails, testInABranch, testAfterAReturn
import ballerina/test;

@test:Config
function testPlain() {
}

@test:Config {groups: ["a", "enable: false"], dataProvider: rows, before: prepare}
@display {label: "x"}
public isolated function testWith(int a) returns error? {
    // test:assertFail("in a comment")
    string text = "test:assertFail(";
}

@test:Config {}
function 'quoted\-name() {
}

@test:Config {
    // enable: true
    enable: false
}
function testLater() {
    test:assertFail("not run");
}

@test:BeforeSuite
function prepare() {
}

@test:Config {}
function testFails() {
    int a = 1;
    test:assertFail(msg = "always");
}

@test:Config {}
function testInABranch() {
    if 1 is int {
        return;
    } else {
        test:assertFail("never reached");
    }
}

@test:Config {}
function testAfterAReturn() {
    do {
        return;
    } on fail {
    }
    test:assertFail("never reached");
}

function rows() returns int[][] => [[1], [2]];
