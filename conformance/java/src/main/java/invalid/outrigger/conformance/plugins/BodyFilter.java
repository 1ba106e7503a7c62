package invalid.outrigger.conformance.plugins;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/**
 * Reads the request's body and says what it saw in two request headers, so the body goes on to the
 * upstream as well.
 */
@Component
public class BodyFilter implements PluginFilter {

  @Override
  public String name() {
    return "conf-body";
  }

  @Override
  public Boolean requiredBody() {
    return true;
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    // The runner makes one char of each byte.
    byte[] body = request.getBody().getBytes(StandardCharsets.ISO_8859_1);
    request.setHeader("X-Body-Length", Integer.toString(body.length));
    request.setHeader("X-Body-Sha256", sha256(body));
    chain.filter(request, response);
  }

  private static String sha256(byte[] bytes) {
    try {
      StringBuilder hex = new StringBuilder();
      for (byte b : MessageDigest.getInstance("SHA-256").digest(bytes)) {
        hex.append(String.format("%02x", b));
      }
      return hex.toString();
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
