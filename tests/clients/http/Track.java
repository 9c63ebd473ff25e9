import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** The JDK's client as it comes: it asks to upgrade to HTTP/2. Prints the statuses of a POST and a GET. */
public class Track {
    public static void main(String[] given) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(given[0] + "/users/track"))
            .header("Authorization", "Bearer " + given[1])
            .header("Content-Type", "application/json");
        byte[] body = given[2].getBytes("UTF-8");
        HttpRequest.BodyPublisher length = HttpRequest.BodyPublishers.ofByteArray(body);
        HttpRequest.BodyPublisher chunked =
            HttpRequest.BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(body));
        for (HttpRequest.BodyPublisher publisher : new HttpRequest.BodyPublisher[] {length, chunked}) {
            System.out.println(client.send(request.POST(publisher).build(), HttpResponse.BodyHandlers.ofString()).statusCode());
        }
        HttpRequest alive = HttpRequest.newBuilder(URI.create(given[0] + "/livez")).build();
        System.out.println(client.send(alive, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
}
