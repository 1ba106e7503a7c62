package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import java.util.Map;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Changes the request on its way to the upstream. A null value deletes. */
@Component
public class RewriteFilter implements PluginFilter {

  static class Conf {
    String path;
    Map<String, String> headers = Map.of();
    Map<String, String> args = Map.of();
  }

  @Override
  public String name() {
    return "conf-rewrite";
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    Conf conf = Json.parse(request.getConfig(this), Conf.class);
    if (conf.path != null) {
      request.setPath(conf.path);
    }
    conf.headers.forEach(request::setHeader);
    conf.args.forEach(request::setArg);
    chain.filter(request, response);
  }
}
