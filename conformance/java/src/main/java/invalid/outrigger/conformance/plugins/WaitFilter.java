package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Holds the request up. */
@Component
public class WaitFilter implements PluginFilter {

  static class Conf {
    long ms;
  }

  @Override
  public String name() {
    return "conf-wait";
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    try {
      Thread.sleep(Json.parse(request.getConfig(this), Conf.class).ms);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    chain.filter(request, response);
  }
}
