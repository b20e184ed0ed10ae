import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What this program serves, from the jar's `routes.tsv`: a record a line, fields parted by tabs; `\t`, `\n` and `\\`
 * are escapes.
 *
 * <p>Text may hold `{{path.x}}`, `{{query.x}}`, `{{header.x}}`, `{{payload}}`, `{{payload.x}}` (the member as JSON),
 * `{{members}}` (the payload without its braces), `{{config.x}}`, `{{request.method}}`, `{{request.path}}` and `{{uuid}}`.
 * `{{plain:…}}` takes JSON's quotes off a member; `{{text:…}}` gives what stands between the quotes of a JSON string.
 */
final class Table {
    private static final Pattern HOLE = Pattern.compile("\\{\\{(text:|plain:)?([A-Za-z]+)(?:\\.([^}]+))?}}");
    private static final Pattern PARAMETER = Pattern.compile("\\{([^}]+)}");

    record Route(String port, String method, List<String> segments, int status, long delayMs, String contentType, Set<String> required,
            String body, List<String> prints) {
        long parameters() {
            return segments.stream().filter(segment -> segment.startsWith("{")).count();
        }
    }

    record Configurable(String name, String otherwise, boolean isRequired) {
    }

    final List<String> prints = new ArrayList<>();
    final List<String> packages = new ArrayList<>();
    String application = "";
    String version = "";
    int exitStatus = -1;
    String exitMessage = "";
    private final List<Route> routes = new ArrayList<>();
    private final List<Configurable> configurables = new ArrayList<>();
    private final Map<String, String> config = new TreeMap<>();

    static Table read() throws IOException {
        Table table = new Table();
        try (InputStream in = Table.class.getResourceAsStream("/routes.tsv")) {
            if (in == null) {
                throw new IOException("this jar has no routes.tsv");
            }
            String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
            text.lines().filter(line -> !line.isEmpty()).forEach(table::add);
        }
        table.routes.sort(Comparator.comparingLong(Route::parameters));
        return table;
    }

    private void add(String line) {
        String[] raw = line.split("\t", -1);
        List<String> f = new ArrayList<>();
        for (String field : raw) {
            f.add(field.translateEscapes());
        }
        switch (f.get(0)) {
            case "application" -> application = f.get(1);
            case "version" -> version = f.get(1);
            case "package" -> packages.add(f.get(1) + ":" + f.get(2));
            case "exit" -> {
                exitStatus = Integer.parseInt(f.get(1));
                exitMessage = f.get(2);
            }
            case "print" -> prints.add(f.get(1));
            case "config" -> configurables.add(new Configurable(f.get(1), f.get(3), f.get(2).equals("required")));
            case "route" -> routes.add(new Route(f.get(1), f.get(2), segments(f.get(3)), Integer.parseInt(f.get(4)),
                    Long.parseLong(f.get(5)), f.get(6), names(f.get(7)), f.get(8), f.subList(9, f.size())));
            default -> throw new IllegalArgumentException("unknown record in routes.tsv: " + f.get(0));
        }
    }

    /** Gives every configurable variable its value. */
    void bind(Settings settings) {
        for (Configurable c : configurables) {
            String value = settings.get(c.name());
            if (value == null && c.isRequired()) {
                String name = c.name().substring(c.name().lastIndexOf('.') + 1);
                throw new IllegalArgumentException("value not provided for required configurable variable '" + name + "'");
            }
            config.put(c.name(), value == null ? c.otherwise() : value);
        }
    }

    /** The places that routes listen at: empty for the default listener, a number, or `config.NAME`. */
    Set<String> ports() {
        Set<String> ports = new TreeSet<>();
        routes.forEach(route -> ports.add(route.port()));
        return ports;
    }

    int port(String place) {
        return Integer.parseInt(place.startsWith("config.") ? config.get(place.substring(7)) : place);
    }

    Response answer(String port, Request request) throws InterruptedException {
        List<String> segments = segments(request.path);
        boolean isPathKnown = false;
        for (Route route : routes) {
            if (route.port().equals(port) && matches(route.segments(), segments)) {
                isPathKnown = true;
                if (route.method().equals(request.method)) {
                    return run(route, request, segments);
                }
            }
        }
        if (isPathKnown) {
            return Response.error(405, "method not allowed", request);
        }
        return Response.error(404, "no matching resource found for path : " + request.path + " , method : " + request.method, request);
    }

    private Response run(Route route, Request request, List<String> segments) throws InterruptedException {
        Map<String, String> values = new HashMap<>();
        for (int i = 0; i < segments.size(); i++) {
            Matcher parameter = PARAMETER.matcher(route.segments().get(i));
            if (parameter.matches()) {
                values.put("path." + parameter.group(1), Request.decoded(segments.get(i)));
            }
        }
        if (!route.required().isEmpty()) {
            Set<String> missing = new TreeSet<>(route.required());
            try {
                missing.removeAll(Json.members(request.body).keySet());
            } catch (IllegalArgumentException e) {
                return Response.error(400, "data binding failed: " + e.getMessage(), request);
            }
            if (!missing.isEmpty()) {
                String name = missing.iterator().next();
                return Response.error(400, "data binding failed: required field '" + name + "' not present in JSON", request);
            }
        }
        // Before the delay: what was begun counts as executed, also where the answer never arrives.
        route.prints().forEach(line -> Service.say(fill(line, request, values)));
        Thread.sleep(route.delayMs());
        return new Response(route.status(), route.contentType(), fill(route.body(), request, values));
    }

    String fill(String template, Request request, Map<String, String> values) {
        return HOLE.matcher(template).replaceAll(hole -> {
            String value = value(hole.group(2), hole.group(3) == null ? "" : hole.group(3), request, values);
            if (hole.group(1) == null) {
                return Matcher.quoteReplacement(value);
            }
            String plain = hole.group(2).equals("payload") ? Json.plain(value) : value;
            return Matcher.quoteReplacement(hole.group(1).equals("plain:") ? plain : Json.escaped(plain));
        });
    }

    private String value(String kind, String name, Request request, Map<String, String> values) {
        return switch (kind) {
            case "path" -> values.getOrDefault("path." + name, "");
            case "query" -> request.query.getOrDefault(name, "");
            case "header" -> request.headers.getOrDefault(name, "").replaceAll("[\\x00-\\x1f]", "");
            case "payload" -> name.isEmpty() ? request.body : Json.members(request.body).getOrDefault(name, "null");
            case "members" -> request.body.strip().replaceFirst("^\\{", "").replaceFirst("}$", "");
            case "config" -> config.getOrDefault(name, "");
            case "request" -> name.equals("method") ? request.method : request.path;
            case "uuid" -> UUID.randomUUID().toString();
            default -> "";
        };
    }

    private static List<String> segments(String path) {
        return List.of(path.replaceAll("^/+|/+$", "").split("/"));
    }

    private static Set<String> names(String list) {
        return list.isEmpty() ? Set.of() : new TreeSet<>(List.of(list.split(",")));
    }

    private static boolean matches(List<String> route, List<String> path) {
        if (route.size() != path.size()) {
            return false;
        }
        for (int i = 0; i < route.size(); i++) {
            if (!route.get(i).startsWith("{") && !route.get(i).equals(path.get(i))) {
                return false;
            }
        }
        return true;
    }
}
