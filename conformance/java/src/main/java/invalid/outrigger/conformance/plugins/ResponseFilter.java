package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import java.util.Map;
import org.apache.apisix.plugin.runner.PostRequest;
import org.apache.apisix.plugin.runner.PostResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Changes the upstream's answer. A null header value deletes. */
@Component
public class ResponseFilter implements PluginFilter {

  static class Conf {
    int status;
    Map<String, String> headers = Map.of();
    String body;
  }

  @Override
  public String name() {
    return "conf-response";
  }

  @Override
  public void postFilter(PostRequest request, PostResponse response, PluginFilterChain chain) {
    Conf conf = Json.parse(request.getConfig(this), Conf.class);
    conf.headers.forEach(response::setHeader);
    if (conf.status != 0) {
      response.setStatusCode(conf.status);
    }
    if (conf.body != null) {
      response.setBody(conf.body);
    }
    chain.postFilter(request, response);
  }
}
