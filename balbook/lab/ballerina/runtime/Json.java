import java.util.LinkedHashMap;
import java.util.Map;

/** As much of JSON as a payload's binding takes: an object's own members, each as the text that stands there. */
final class Json {
    private Json() {
    }

    /** The members of an object by name; IllegalArgumentException where `text` is not an object. */
    static Map<String, String> members(String text) {
        Map<String, String> members = new LinkedHashMap<>();
        int at = skipSpace(text, 0);
        expect(text, at, '{');
        at = skipSpace(text, at + 1);
        while (peek(text, at) != '}') {
            int end = endOfValue(text, at);
            String name = text.substring(at + 1, end - 1);
            at = skipSpace(text, end);
            expect(text, at, ':');
            at = skipSpace(text, at + 1);
            end = endOfValue(text, at);
            members.put(name, text.substring(at, end));
            at = skipSpace(text, end);
            if (peek(text, at) != ',') {
                expect(text, at, '}');
            } else {
                at = skipSpace(text, at + 1);
                expect(text, at, '"');
            }
        }
        if (skipSpace(text, at + 1) != text.length()) {
            throw new IllegalArgumentException("text after the end of the object");
        }
        return members;
    }

    static String quoted(String text) {
        return '"' + escaped(text) + '"';
    }

    /** A string's value; anything else as it stands. */
    static String plain(String value) {
        if (value.length() < 2 || !value.startsWith("\"")) {
            return value;
        }
        try {
            return value.substring(1, value.length() - 1).replace("\\/", "/").translateEscapes();
        } catch (IllegalArgumentException e) {
            return value.substring(1, value.length() - 1);
        }
    }

    static String escaped(String text) {
        StringBuilder quoted = new StringBuilder();
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < 0x20) {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.toString();
    }

    private static int endOfValue(String text, int start) {
        int depth = 0;
        boolean isText = false;
        for (int at = start; at < text.length(); at++) {
            char c = text.charAt(at);
            if (isText) {
                if (c == '\\') {
                    at++;
                } else if (c == '"') {
                    isText = false;
                    if (depth == 0) {
                        return at + 1;
                    }
                }
            } else if (c == '"') {
                isText = true;
            } else if (c == '{' || c == '[') {
                depth++;
            } else if (depth > 0 && (c == '}' || c == ']')) {
                depth--;
                if (depth == 0) {
                    return at + 1;
                }
            } else if (depth == 0 && (c == ',' || c == '}' || c == ']' || c == ':' || Character.isWhitespace(c))) {
                if (at == start) {
                    throw new IllegalArgumentException("a value is missing at " + at);
                }
                return at;
            }
        }
        throw new IllegalArgumentException("the text ends inside of a value");
    }

    private static int skipSpace(String text, int at) {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        return at;
    }

    private static char peek(String text, int at) {
        return at < text.length() ? text.charAt(at) : 0;
    }

    private static void expect(String text, int at, char wanted) {
        if (peek(text, at) != wanted) {
            throw new IllegalArgumentException("'" + wanted + "' is missing at " + at);
        }
    }
}
