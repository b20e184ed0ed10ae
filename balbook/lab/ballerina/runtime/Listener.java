import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** One listening socket and the connections that came through it; a thread each, so that none waits for another. */
final class Listener {
    private static final int BACKLOG = 1024;
    private static final int IDLE_MS = 60_000;

    private final ServerSocket socket;
    private final int port;
    private final Table table;
    private final Set<Socket> connections = ConcurrentHashMap.newKeySet();
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private volatile boolean isClosing;

    private Listener(ServerSocket socket, int port, Table table) {
        this.socket = socket;
        this.port = port;
        this.table = table;
    }

    static Listener open(String host, int port, Table table) throws IOException {
        ServerSocket socket = new ServerSocket();
        try {
            socket.bind(new InetSocketAddress(host, port), BACKLOG);
        } catch (IOException e) {
            socket.close();
            throw new IOException("failed to start server connector '" + host + ":" + port + "': " + e.getMessage(), e);
        }
        return new Listener(socket, port, table);
    }

    void start() {
        new Thread(this::accept, "listener-" + port).start();
    }

    /** Closes the listening socket: from here on new connections are refused. */
    void refuse() {
        isClosing = true;
        try {
            socket.close();
        } catch (IOException e) {
            Service.say("the listening socket did not close: " + e.getMessage());
        }
    }

    /** Closes every connection, in the middle of an answer too. */
    void cut() {
        for (Socket connection : connections) {
            try {
                connection.close();
            } catch (IOException e) {
                Service.say("a connection did not close: " + e.getMessage());
            }
        }
    }

    private void accept() {
        while (!isClosing) {
            try {
                Socket connection = socket.accept();
                connections.add(connection);
                threads.execute(() -> serve(connection));
            } catch (IOException e) {
                if (!isClosing) {
                    Service.say("a connection was not accepted: " + e.getMessage());
                }
            }
        }
    }

    private void serve(Socket connection) {
        try (connection) {
            connection.setTcpNoDelay(true);
            connection.setSoTimeout(IDLE_MS);
            InputStream in = new BufferedInputStream(connection.getInputStream());
            OutputStream out = connection.getOutputStream();
            Request request = Request.read(in, out);
            while (request != null) {
                // Head and body in one write: apart, Nagle's algorithm and delayed acknowledgements cost 40 ms.
                out.write(table.answer(port, request).bytes(table, request.isKeptAlive));
                out.flush();
                request = request.isKeptAlive ? Request.read(in, out) : null;
            }
        } catch (IOException e) {
            // The client went away, stayed silent for too long, or this service is ending: there is nobody to tell.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            connections.remove(connection);
        }
    }
}
