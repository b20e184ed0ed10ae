import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** One HTTP/1.x request, read in full. */
final class Request {
    private static final int MAX_LINE = 65_536;
    private static final int MAX_BODY = 8 * 1024 * 1024;

    final String method;
    final String path;
    final Map<String, String> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
    final boolean isKeptAlive;
    final String body;

    /** The next request of a connection, or null where the client has closed it. */
    static Request read(InputStream in, OutputStream out) throws IOException {
        String first = line(in);
        while (first != null && first.isEmpty()) {
            first = line(in);
        }
        return first == null ? null : new Request(first, in, out);
    }

    private Request(String first, InputStream in, OutputStream out) throws IOException {
        String[] words = first.split(" ");
        if (words.length != 3) {
            throw new IOException("not a request: " + first);
        }
        method = words[0];
        path = words[1].split("\\?", 2)[0];
        for (String line = line(in); line != null && !line.isEmpty(); line = line(in)) {
            int colon = line.indexOf(':');
            if (colon > 0) {
                headers.put(line.substring(0, colon).trim(), line.substring(colon + 1).trim());
            }
        }
        String connection = headers.getOrDefault("Connection", "").toLowerCase(Locale.ROOT);
        isKeptAlive = words[2].equals("HTTP/1.0") ? connection.contains("keep-alive") : !connection.contains("close");
        body = new String(body(in, out), StandardCharsets.UTF_8);
    }

    private byte[] body(InputStream in, OutputStream out) throws IOException {
        if (headers.getOrDefault("Expect", "").equalsIgnoreCase("100-continue")) {
            out.write("HTTP/1.1 100 Continue\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            out.flush();
        }
        if (headers.getOrDefault("Transfer-Encoding", "").toLowerCase(Locale.ROOT).contains("chunked")) {
            return chunks(in);
        }
        return exactly(in, number(headers.getOrDefault("Content-Length", "0"), 10));
    }

    private static byte[] chunks(InputStream in) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        int size = chunkSize(in);
        while (size > 0) {
            if (all.size() + size > MAX_BODY) {
                throw new IOException("the body is too long");
            }
            all.writeBytes(exactly(in, size));
            line(in);
            size = chunkSize(in);
        }
        String trailer = line(in);
        while (trailer != null && !trailer.isEmpty()) {
            trailer = line(in);
        }
        return all.toByteArray();
    }

    private static int chunkSize(InputStream in) throws IOException {
        String line = line(in);
        if (line == null) {
            throw new IOException("the body ended early");
        }
        return number(line.split(";")[0].trim(), 16);
    }

    private static byte[] exactly(InputStream in, int size) throws IOException {
        byte[] bytes = in.readNBytes(size);
        if (bytes.length < size) {
            throw new IOException("the body ended early");
        }
        return bytes;
    }

    private static int number(String text, int radix) throws IOException {
        try {
            int value = Integer.parseInt(text, radix);
            if (value < 0 || value > MAX_BODY) {
                throw new IOException("length out of range: " + text);
            }
            return value;
        } catch (NumberFormatException e) {
            throw new IOException("not a length: " + text, e);
        }
    }

    private static String line(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream(128);
        int next = in.read();
        while (next != -1 && next != '\n') {
            line.write(next);
            if (line.size() > MAX_LINE) {
                throw new IOException("a line is too long");
            }
            next = in.read();
        }
        if (next == -1 && line.size() == 0) {
            return null;
        }
        String text = line.toString(StandardCharsets.ISO_8859_1);
        return text.endsWith("\r") ? text.substring(0, text.length() - 1) : text;
    }

    static String decoded(String text) {
        try {
            return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            return text;
        }
    }
}
