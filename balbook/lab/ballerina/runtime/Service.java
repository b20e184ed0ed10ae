import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The lab's stand-in for a Ballerina program: answers on the routes of its table until SIGTERM or SIGINT.
 *
 * <p>A stop does what Ballerina's listener does: it closes the listening sockets, sleeps `gracefulStopTimeout` while
 * open connections are still served, then closes every connection. The JDK's own HTTP server is not used because its
 * `stop` takes whole seconds and leaves early.
 */
public final class Service {
    public static void main(String[] args) {
        try {
            run(args);
        } catch (IOException | IllegalArgumentException e) {
            System.err.println("error: " + e.getMessage());
            System.exit(1);
        }
    }

    private static void run(String[] args) throws IOException {
        Table table = Table.read();
        say("lab stand-in for Ballerina, runs nothing of: " + table.application + " " + table.version + " " + table.packages);
        if (table.exitStatus >= 0) {
            System.err.println("error: " + table.exitMessage);
            System.exit(table.exitStatus);
        }
        Settings settings = Settings.read(args, System.getenv(), Path.of("Config.toml"));
        table.bind(settings);
        List<Listener> listeners = open(table, settings);
        long graceMs = settings.milliseconds("ballerina.http.defaultListenerConfig.gracefulStopTimeout", 0);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(listeners, graceMs)));
        listeners.forEach(Listener::start);
    }

    private static List<Listener> open(Table table, Settings settings) throws IOException {
        String host = settings.text("ballerina.http.defaultListenerConfig.host", "0.0.0.0");
        List<Listener> listeners = new ArrayList<>();
        for (int port : table.ports()) {
            listeners.add(Listener.open(host, port, table));
            say("listening on " + host + ":" + port);
        }
        return listeners;
    }

    private static void stop(List<Listener> listeners, long graceMs) {
        listeners.forEach(Listener::refuse);
        say("stopping: no new connections; closing the open ones in " + graceMs + " ms");
        try {
            Thread.sleep(graceMs);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        listeners.forEach(Listener::cut);
    }

    /** One line on standard output, there for a reader right away and never mixed with another. */
    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
