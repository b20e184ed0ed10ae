import java.io.File;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * The values of configurable variables by dotted name.
 *
 * <p>From `-Cname=value`, and one of: the files of `BAL_CONFIG_FILES` (the first that has a name wins), the text of
 * `BAL_CONFIG_DATA`, `Config.toml`. The TOML read here is tables, dotted keys and one-line values; of others their first line.
 */
final class Settings {
    private final Map<String, String> values = new TreeMap<>();

    static Settings read(String[] args, Map<String, String> environment, Path byDefault) throws IOException {
        Settings settings = new Settings();
        for (String arg : args) {
            int equals = arg.indexOf('=');
            if (arg.startsWith("-C") && equals > 2) {
                settings.values.put(arg.substring(2, equals), arg.substring(equals + 1));
            }
        }
        String files = environment.getOrDefault("BAL_CONFIG_FILES", "");
        String data = environment.getOrDefault("BAL_CONFIG_DATA", "");
        if (!files.isEmpty()) {
            for (String file : files.split(File.pathSeparator)) {
                settings.add(existing(file));
            }
        } else if (!data.isEmpty()) {
            settings.add(data);
        } else if (Files.exists(byDefault)) {
            settings.add(Files.readString(byDefault));
        }
        return settings;
    }

    /** The value of the first of these names, parted by `|`, that is set, also where it is a table; else null. */
    String first(String names) {
        for (String name : names.split("\\|")) {
            if (values.containsKey(name) || values.keySet().stream().anyMatch(key -> key.startsWith(name + "."))) {
                return values.getOrDefault(name, "");
            }
        }
        return null;
    }

    String text(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    int port(String names, String otherwise) {
        String value = first(names) == null ? otherwise : first(names);
        try {
            int port = Integer.parseInt(value);
            if (port > 0 && port < 65_536) {
                return port;
            }
        } catch (NumberFormatException e) {
            // Told below, as a number out of range is.
        }
        throw new IllegalArgumentException("configurable variable '" + names.split("\\|")[0] + "' is expected to be a port, but found '" + value + "'");
    }

    /** Seconds, with a fraction or without, as milliseconds. */
    long milliseconds(String name, long otherwise) {
        String value = values.get(name);
        if (value == null) {
            return otherwise;
        }
        try {
            return new BigDecimal(value).movePointRight(3).longValue();
        } catch (NumberFormatException e) {
            String wanted = "' is expected to be of type 'decimal', but found '" + value + "'";
            throw new IllegalArgumentException("configurable variable '" + name + wanted, e);
        }
    }

    private static String existing(String file) throws IOException {
        Path path = Path.of(file);
        if (!Files.exists(path)) {
            throw new IOException("configuration file is not found in path '" + file + "'");
        }
        return Files.readString(path);
    }

    private void add(String toml) {
        String table = "";
        for (String raw : toml.split("\n")) {
            String line = withoutComment(raw).trim();
            int equals = line.indexOf('=');
            if (line.startsWith("[") && line.endsWith("]")) {
                table = line.replaceAll("[\\[\\]\"' ]", "") + ".";
                values.putIfAbsent(table, "");
            } else if (equals > 0) {
                String name = table + line.substring(0, equals).replaceAll("[\"' ]", "");
                values.putIfAbsent(name, value(line.substring(equals + 1).trim()));
            }
        }
    }

    private static String withoutComment(String line) {
        char quote = 0;
        for (int at = 0; at < line.length(); at++) {
            char c = line.charAt(at);
            if (quote != 0) {
                if (c == '\\' && quote == '"') {
                    at++;
                } else if (c == quote) {
                    quote = 0;
                }
            } else if (c == '"' || c == '\'') {
                quote = c;
            } else if (c == '#') {
                return line.substring(0, at);
            }
        }
        return line;
    }

    private static String value(String text) {
        if (text.length() > 1 && text.startsWith("\"") && text.endsWith("\"")) {
            String inner = text.substring(1, text.length() - 1);
            return inner.contains("\\u") || inner.contains("\\U") ? inner : inner.translateEscapes();
        }
        if (text.length() > 1 && text.startsWith("'") && text.endsWith("'")) {
            return text.substring(1, text.length() - 1);
        }
        return text;
    }
}
