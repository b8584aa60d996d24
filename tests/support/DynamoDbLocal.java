import java.net.InetAddress;
import java.net.InetSocketAddress;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.handler.ContextHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBServerHandler;

/**
 * Amazon's DynamoDB Local in memory, on the loopback interface and a free port, which it prints. Its own command line
 * listens on all interfaces, and reports its use. It ends when its standard input does, so that it can't outlive the
 * process that started it.
 */
class DynamoDbLocal {
    public static void main(String[] arguments) throws Exception {
        var server = new Server(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        var requests = new LocalDynamoDBRequestHandler(0, true, null, true, false);
        server.setHandler(new ContextHandler(new LocalDynamoDBServerHandler(requests, null)));
        server.start();
        System.out.println(server.getURI().getPort());
        while (System.in.read() >= 0) { }
        System.exit(0);
    }
}
