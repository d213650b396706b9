package clients;

import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.util.JSONObjectUtils;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Map;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import net.minidev.json.JSONObject;

/** What the programs share: the settings that the driver wrote, the person at the browser, and steps that tell a story. */
final class Story {
    final JSONObject settings;
    private final HttpClient line = HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY).build();
    private int steps;

    Story(String path) throws Exception {
        settings = JSONObjectUtils.parse(Files.readString(Path.of(path)));
        trust(Path.of(setting("authority")));
    }

    /** Trusts this authority alone: Java has no variable for it, and its own store of them is none in PEM. */
    private static void trust(Path authority) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream pem = Files.newInputStream(authority)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trusted.getTrustManagers(), null);
        SSLContext.setDefault(context);
        HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
    }

    /** One of the clients that the driver registered. */
    record Client(ClientID id, Secret secret, URI redirect) {}

    Client client(String name) throws Exception {
        JSONObject client = JSONObjectUtils.getJSONObject(JSONObjectUtils.getJSONObject(settings, "clients"), name);
        String secret = JSONObjectUtils.getString(client, "client_secret", null);
        return new Client(
                new ClientID(JSONObjectUtils.getString(client, "client_id")),
                secret == null ? null : new Secret(secret),
                URI.create(JSONObjectUtils.getString(client, "redirect_uri")));
    }

    String setting(String name) throws Exception {
        return JSONObjectUtils.getString(settings, name);
    }

    interface Work {
        void run() throws Exception;
    }

    /** Does one thing and prints its name: the output reads as a story, and the driver wants its last line. */
    void step(String name, Work work) {
        try {
            work.run();
        } catch (Throwable failure) {
            System.out.println("FAILED  " + name);
            failure.printStackTrace();
            System.exit(1);
        }
        steps++;
        System.out.println("ok  " + name);
    }

    /** The last line: without it a program that ended early would pass. */
    void end() {
        System.out.println("the end, after " + steps + " steps");
    }

    /** Asks the driver, over its own connection that no library sees. */
    JSONObject ask(Map<String, ?> question) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(setting("driver")))
                .header("content-type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(new JSONObject(question).toJSONString()))
                .build();
        HttpResponse<String> answer = line.send(request, HttpResponse.BodyHandlers.ofString());
        demand(answer.statusCode() == 200, "the driver: " + answer.body());
        return JSONObjectUtils.parse(answer.body());
    }

    /** Ann opens an authorization URL in a browser (by name, with its cookies): where she ends. */
    JSONObject opens(URI url, String browser, String decision) throws Exception {
        return ask(Map.of("ask", "authorize", "url", url.toString(), "browser", browser, "decision", decision));
    }

    /** The same, where she must end at the app. */
    URI isLedTo(URI url, String browser, String decision) throws Exception {
        JSONObject end = opens(url, browser, decision);
        demand(end.containsKey("callback"), "a page instead of the app: " + end);
        return URI.create(JSONObjectUtils.getString(end, "callback"));
    }

    static void demand(boolean holds, Object otherwise) {
        if (!holds) throw new AssertionError(otherwise);
    }

    static void same(Object wanted, Object is) {
        demand(wanted.equals(is), "wanted " + wanted + ", is " + is);
    }

    /** Holds what the library throws to its class and to words of its message. */
    static void fails(Class<? extends Exception> kind, String words, Work work) throws Exception {
        try {
            work.run();
        } catch (Exception thrown) {
            if (kind.isInstance(thrown) && String.valueOf(thrown.getMessage()).contains(words)) return;
            throw thrown;
        }
        throw new AssertionError("nothing was thrown; expected " + kind + " " + words);
    }

    interface Question {
        boolean holds() throws Exception;
    }

    /** Until a revocation has reached every instance (one second at most). */
    static void soon(Question question) throws Exception {
        for (int attempt = 0; attempt < 50; attempt++) {
            if (question.holds()) return;
            Thread.sleep(100);
        }
        throw new AssertionError("it did not happen within five seconds");
    }
}
