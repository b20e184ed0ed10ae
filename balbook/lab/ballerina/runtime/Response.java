import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;

/** What goes back: a status and JSON. */
record Response(int status, String body) {
    private static final Map<Integer, String> REASONS = Map.of(200, "OK", 201, "Created", 404, "Not Found", 405, "Method Not Allowed",
            500, "Internal Server Error", 503, "Service Unavailable");

    /** What balbook started this as; the jar's own version where somebody else did. */
    private static final String RELEASE = System.getenv().getOrDefault("BALBOOK_RELEASE", "");

    /** The JSON body of Ballerina's own errors. */
    static Response error(int status, String message, Request request) {
        String body = "{\"timestamp\":\"" + Instant.now() + "\", \"status\":" + status + ", \"reason\":\"" + reason(status)
                + "\", \"message\":" + quoted(message) + ", \"path\":" + quoted(request.path)
                + ", \"method\":" + quoted(request.method) + "}";
        return new Response(status, body);
    }

    byte[] bytes(Table table, boolean isKeptAlive) {
        byte[] content = body.getBytes(StandardCharsets.UTF_8);
        StringBuilder head = new StringBuilder(160).append("HTTP/1.1 ").append(status).append(' ').append(reason(status));
        head.append("\r\nX-Balbook-Release: ").append(RELEASE.isEmpty() ? table.version : RELEASE);
        head.append("\r\nX-Balbook-Packages: ").append(String.join(" ", table.packages)).append("\r\nServer: ballerina-lab-stand-in");
        head.append("\r\nContent-Type: application/json\r\nContent-Length: ").append(content.length);
        head.append("\r\nConnection: ").append(isKeptAlive ? "keep-alive" : "close").append("\r\n\r\n");
        ByteArrayOutputStream all = new ByteArrayOutputStream(head.length() + content.length);
        all.writeBytes(head.toString().getBytes(StandardCharsets.ISO_8859_1));
        all.writeBytes(content);
        return all.toByteArray();
    }

    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else {
                quoted.append(c < 0x20 ? String.format("\\u%04x", (int) c) : Character.toString(c));
            }
        }
        return quoted.append('"').toString();
    }

    private static String reason(int status) {
        return REASONS.getOrDefault(status, "Status");
    }
}
