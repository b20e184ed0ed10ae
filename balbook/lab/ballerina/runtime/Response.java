import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;

/** What goes back: a status, a content type and a body. */
record Response(int status, String contentType, String body) {
    private static final Map<Integer, String> REASONS = Map.ofEntries(
            Map.entry(200, "OK"), Map.entry(201, "Created"), Map.entry(202, "Accepted"), Map.entry(204, "No Content"),
            Map.entry(400, "Bad Request"), Map.entry(401, "Unauthorized"), Map.entry(403, "Forbidden"),
            Map.entry(404, "Not Found"), Map.entry(405, "Method Not Allowed"), Map.entry(409, "Conflict"),
            Map.entry(500, "Internal Server Error"), Map.entry(503, "Service Unavailable"));

    /** What balbook started this as; the jar's own version where somebody else did. */
    private static final String RELEASE = System.getenv().getOrDefault("BALBOOK_RELEASE", "");

    /** The JSON body of Ballerina's own errors. */
    static Response error(int status, String message, Request request) {
        String body = "{\"timestamp\":\"" + Instant.now() + "\", \"status\":" + status + ", \"reason\":\"" + reason(status)
                + "\", \"message\":" + Json.quoted(message) + ", \"path\":" + Json.quoted(request.path)
                + ", \"method\":" + Json.quoted(request.method) + "}";
        return new Response(status, "application/json", body);
    }

    byte[] bytes(Table table, boolean isKeptAlive) {
        byte[] content = status == 204 ? new byte[0] : body.getBytes(StandardCharsets.UTF_8);
        StringBuilder head = new StringBuilder(160).append("HTTP/1.1 ").append(status).append(' ').append(reason(status));
        head.append("\r\nX-Balbook-Release: ").append(RELEASE.isEmpty() ? table.version : RELEASE);
        head.append("\r\nX-Balbook-Packages: ").append(String.join(" ", table.packages)).append("\r\nServer: ballerina-lab-stand-in");
        head.append("\r\nContent-Type: ").append(contentType).append("\r\nContent-Length: ").append(content.length);
        head.append("\r\nConnection: ").append(isKeptAlive ? "keep-alive" : "close").append("\r\n\r\n");
        ByteArrayOutputStream all = new ByteArrayOutputStream(head.length() + content.length);
        all.writeBytes(head.toString().getBytes(StandardCharsets.ISO_8859_1));
        all.writeBytes(content);
        return all.toByteArray();
    }

    private static String reason(int status) {
        return REASONS.getOrDefault(status, "Status");
    }
}
