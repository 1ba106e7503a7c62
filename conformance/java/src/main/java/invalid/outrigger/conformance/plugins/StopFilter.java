package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import java.util.Map;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Answers the client instead of the upstream. */
@Component
public class StopFilter implements PluginFilter {

  static class Conf {
    int status;
    Map<String, String> headers = Map.of();
    String body = "";
  }

  @Override
  public String name() {
    return "conf-stop";
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    Conf conf = Json.parse(request.getConfig(this), Conf.class);
    conf.headers.forEach(response::setHeader);
    if (conf.status != 0) {
      response.setStatusCode(conf.status);
    }
    response.setBody(conf.body);
  }
}
