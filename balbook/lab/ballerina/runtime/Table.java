import java.io.IOException;
import java.io.InputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What this program serves, from the jar's `routes.tsv`: a record a line, fields parted by tabs; `\t`, `\n` and `\\` are escapes.
 *
 * <p>A route answers with what it is: nothing of the package is run. Two settings, of Config.toml or of the jar, change that for
 * one path: `status` in the table `balbook.lab` makes it fail, `delay_s` slow.
 */
final class Table {
    private static final String STAND_IN = "balbook.lab.";

    record Route(String place, String method, List<String> segments, String about) {
        /** The fewer parameters, the earlier it is tried; one that takes the rest of a path comes last. */
        long order() {
            return segments.stream().filter(s -> s.equals("[]")).count() + (segments.contains("[...]") ? 1000 : 0);
        }
    }

    final List<String> packages = new ArrayList<>();
    String application = "";
    String version = "";
    int exitStatus = -1;
    String exitMessage = "";
    private final List<Route> routes = new ArrayList<>();
    private final List<String> required = new ArrayList<>();
    private final Map<String, String> defaults = new TreeMap<>();
    private final Map<String, Integer> ports = new TreeMap<>();
    private Settings settings;

    static Table read() throws IOException {
        Table table = new Table();
        try (InputStream in = Table.class.getResourceAsStream("/routes.tsv")) {
            if (in == null) {
                throw new IOException("this jar has no routes.tsv");
            }
            new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().forEach(table::add);
        }
        table.routes.sort(Comparator.comparingLong(Route::order));
        return table;
    }

    private void add(String line) {
        List<String> f = new ArrayList<>();
        for (String field : line.split("\t", -1)) {
            f.add(field.translateEscapes());
        }
        switch (f.get(0)) {
            case "application" -> application = f.get(1);
            case "version" -> version = f.get(1);
            case "package" -> packages.add(f.get(1));
            case "required" -> required.add(f.get(1));
            case "setting" -> defaults.put(f.get(1), f.get(2));
            case "exit" -> {
                exitStatus = Integer.parseInt(f.get(1));
                exitMessage = f.get(2);
            }
            case "route" -> routes.add(new Route(f.get(1), f.get(2), segments(f.get(3)), f.get(4)));
            default -> throw new IllegalArgumentException("unknown record in routes.tsv: " + f.get(0));
        }
    }

    /** Takes the configuration; fails where a configurable variable has no value. */
    void bind(Settings given) {
        settings = given;
        for (String names : required) {
            if (settings.first(names) == null) {
                String name = names.substring(names.lastIndexOf('.') + 1).replaceFirst(".*\\|", "");
                throw new IllegalArgumentException("value not provided for required configurable variable '" + name + "'");
            }
        }
        routes.forEach(route -> ports.computeIfAbsent(route.place(), this::port));
    }

    /** The ports that routes listen at. */
    Iterable<Integer> ports() {
        return ports.values().stream().distinct().sorted().toList();
    }

    /** Of a place: empty for the default listener, a number, or `NAME|OTHER NAME=NUMBER`. */
    private int port(String place) {
        if (place.isEmpty()) {
            return settings.port("ballerina.http.defaultListenerPort", "9090");
        }
        int equals = place.indexOf('=');
        return equals < 0 ? Integer.parseInt(place) : settings.port(place.substring(0, equals), place.substring(equals + 1));
    }

    Response answer(int port, Request request) throws InterruptedException {
        List<String> segments = segments(request.path);
        boolean isPathKnown = false;
        for (Route route : routes) {
            if (ports.get(route.place()) == port && matches(route.segments(), segments)) {
                isPathKnown = true;
                if (route.method().equals(request.method) || route.method().equals("DEFAULT")) {
                    return answer(route, request);
                }
            }
        }
        if (isPathKnown) {
            return Response.error(405, "method not allowed", request);
        }
        return Response.error(404, "no matching resource found for path : " + request.path + " , method : " + request.method, request);
    }

    private Response answer(Route route, Request request) throws InterruptedException {
        String id = request.headers.getOrDefault("X-Request-Id", "").replaceAll("[\\x00-\\x1f]", "");
        boolean isPost = request.method.equals("POST");
        if (isPost) {
            // Before the delay: what was begun counts as executed, also where the answer never arrives.
            Service.say("executed POST " + request.path + " id=" + id);
        }
        Thread.sleep(new BigDecimal(own("delay_s", request, "0")).movePointRight(3).longValue());
        String body = "{" + route.about() + ",\"method\":" + Response.quoted(request.method) + ",\"path\":" + Response.quoted(request.path)
                + ",\"request_id\":" + Response.quoted(id) + ",\"lab\":\"stand-in: nothing was run\"}";
        return new Response(Integer.parseInt(own("status", request, isPost ? "201" : "200")), body);
    }

    private String own(String name, Request request, String otherwise) {
        String key = STAND_IN + name + "." + request.path;
        return settings.text(key, defaults.getOrDefault(key, otherwise));
    }

    private static List<String> segments(String path) {
        return List.of(path.replaceAll("^/+|/+$", "").split("/"));
    }

    private static boolean matches(List<String> route, List<String> path) {
        for (int i = 0; i < route.size(); i++) {
            if (route.get(i).equals("[...]")) {
                return true;
            }
            boolean isThere = i < path.size() && (route.get(i).equals("[]") || route.get(i).equals(Request.decoded(path.get(i))));
            if (!isThere) {
                return false;
            }
        }
        return route.size() == path.size();
    }
}
